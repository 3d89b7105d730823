//! The customer's side as a QR code: for the terminal, and as a picture.
//!
//! What is in it is the file for wg-quick without comments, as WireGuard's apps read
//! it. They take none without a private key.

use super::page::{ConfigFile, Page, line, note};
use super::{Connection, RenderError, Tunnel, advice, wg_quick};
use qrcode::{Color, EcLevel};
use std::fmt::Write;
use zeroize::Zeroizing;

/// Light modules around the code, so that it is found (ISO/IEC 18004, quiet zone).
const QUIET: usize = 4;

/// Bytes the largest code holds at the lowest error correction (ISO/IEC 18004, Table 7).
const MAX_BYTES: usize = 2_953;

/// Pixels of a PNG to a module.
const SCALE: usize = 8;

/// A QR code of a configuration. It is as secret as what it was made of.
pub struct QrCode {
    /// The modules with the quiet zone, row by row: whether each is dark.
    dark: Zeroizing<Vec<bool>>,
    /// Modules of a row.
    width: usize,
    /// What is to be said below it.
    below: ConfigFile,
}

impl QrCode {
    /// The code of a connection, which is by `tunnel`.
    ///
    /// # Errors
    /// [`RenderError::TooLongForQr`].
    pub fn new(connection: &Connection<'_>, tunnel: &Tunnel<'_>) -> Result<Self, RenderError> {
        let file = wg_quick::bare(connection, tunnel);
        let too_long = || RenderError::TooLongForQr { bytes: file.text.len(), max: MAX_BYTES };
        // It is read from a screen or from paper that was just printed: of all levels
        // the lowest makes the smallest code. Too long is all that can be wrong.
        let code = qrcode::QrCode::with_error_correction_level(file.text.as_bytes(), EcLevel::L);
        let code = code.map_err(|_| too_long())?;
        let (inner, width) = (code.width(), code.width() + 2 * QUIET);
        let mut dark = Zeroizing::new(vec![false; width * width]);
        for (at, color) in code.to_colors().into_iter().enumerate() {
            let (x, y) = (at % inner + QUIET, at / inner + QUIET);
            if let Some(module) = dark.get_mut(y * width + x) {
                *module = color == Color::Dark;
            }
        }
        Ok(Self { dark, width, below: below(connection, tunnel) })
    }

    fn is_dark(&self, x: usize, y: usize) -> bool {
        x < self.width && self.dark.get(y * self.width + x).is_some_and(|dark| *dark)
    }

    /// For a terminal: two modules a character. Light is drawn and dark is left as it
    /// is, as on a dark screen; `is_colored` has it so on any.
    pub fn terminal(&self, is_colored: bool) -> Zeroizing<String> {
        // Black, and bright white on it (ECMA-48 §8.3.117 and the aixterm's).
        let (begin, end) = if is_colored { ("\x1b[40;97m", "\x1b[0m") } else { ("", "") };
        let rows = self.width.div_ceil(2);
        let room = rows * (self.width * '█'.len_utf8() + begin.len() + end.len() + 1);
        let mut text = Zeroizing::new(String::with_capacity(room));
        for row in 0..rows {
            text.push_str(begin);
            for x in 0..self.width {
                let lower = row * 2 + 1;
                // Below the last row there is nothing to draw.
                let below = lower < self.width && !self.is_dark(x, lower);
                text.push(match (!self.is_dark(x, row * 2), below) {
                    (true, true) => '█',
                    (true, false) => '▀',
                    (false, true) => '▄',
                    (false, false) => ' ',
                });
            }
            text.push_str(end);
            text.push('\n');
        }
        text
    }

    /// What is to be said below it: how to use it, verify, and what to send back.
    pub const fn below(&self) -> &ConfigFile {
        &self.below
    }

    /// The code and what is said below, without colours.
    pub(super) fn text(self) -> ConfigFile {
        let code = self.terminal(false);
        let mut text = Zeroizing::new(String::with_capacity(code.len() + self.below.text.len()));
        text.push_str(&code);
        text.push_str(&self.below.text);
        ConfigFile { name: "lockgate.qr.txt".to_owned(), text, ..self.below }
    }

    /// As a picture of scalable size.
    pub fn svg(&self) -> Zeroizing<String> {
        let size = self.width;
        let room = 512 + size * size * "M000,000h1v1h-1z".len();
        let mut text = Zeroizing::new(String::with_capacity(room));
        // Writing to a `String` cannot fail.
        let _ = write!(
            text,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {size} {size}\" \
             shape-rendering=\"crispEdges\"><title>WireGuard configuration</title>\
             <rect width=\"{size}\" height=\"{size}\" fill=\"#fff\"/><path fill=\"#000\" d=\""
        );
        for y in 0..size {
            for x in (0..size).filter(|x| self.is_dark(*x, y)) {
                let _ = write!(text, "M{x},{y}h1v1h-1z");
            }
        }
        text.push_str("\"/></svg>\n");
        text
    }

    /// As a picture of pixels.
    ///
    /// # Errors
    /// What the encoder says; nothing is known that would make it.
    pub fn png(&self) -> Result<Zeroizing<Vec<u8>>, png::EncodingError> {
        let size = self.width * SCALE;
        let mut pixels = Zeroizing::new(Vec::with_capacity(size * size));
        for y in 0..size {
            pixels.extend(
                (0..size).map(|x| if self.is_dark(x / SCALE, y / SCALE) { 0_u8 } else { 255 }),
            );
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(pixels.len()));
        // At most 185 modules of 8 pixels.
        let side = u32::try_from(size).unwrap_or(u32::MAX);
        let mut encoder = png::Encoder::new(&mut *bytes, side, side);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&pixels)?;
        writer.finish()?;
        Ok(bytes)
    }
}

fn below(connection: &Connection<'_>, tunnel: &Tunnel<'_>) -> ConfigFile {
    let mut page = Page::new("#");
    line!(page, "# WireGuard for {}: scan it in a WireGuard app.", connection.title());
    if tunnel.private_key.is_none() {
        note!(
            page,
            "The apps take it only with the private key in it, and that is not known here:"
        );
        note!(
            page,
            "whoever has it says --private-key FILE. As text any reader scans it: put the key"
        );
        note!(page, "that belongs to {} in its place.", tunnel.customer_key);
    }
    advice::preshared_key(&mut page, tunnel);
    let looks = [("the tunnel's page in the app", "a latest handshake some seconds ago")];
    advice::verify(&mut page, connection, &looks, |address| format!("ping {address}"));
    let (key, endpoint) = ("Public key in the app", "Endpoint there");
    advice::send_back(&mut page, tunnel, key, endpoint);
    page.file("lockgate.qr.txt", connection.is_secret())
}
