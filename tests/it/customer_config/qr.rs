//! The QR code is read back by somebody else's decoder, from the terminal and from both
//! pictures.

use super::scene::{Ask, PSK, SITES, config, with};
use lockgate::customer::qr::QrCode;
use lockgate::customer::{Link, Presharing};

/// Reads the one code in a picture of `side` × `side` whose dark pixels `is_dark` says.
fn decode(side: usize, is_dark: impl Fn(usize, usize) -> bool) -> String {
    let luma = |x, y| if is_dark(x, y) { 0 } else { 255 };
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(side, side, luma);
    let grids = image.detect_grids();
    assert_eq!(grids.len(), 1);
    grids[0].decode().unwrap().1
}

/// Reads it with modules of 4 × 4 pixels.
fn decode_modules(width: usize, is_dark: impl Fn(usize, usize) -> bool) -> String {
    decode(width * 4, |x, y| is_dark(x / 4, y / 4))
}

fn terminal(text: &str) -> String {
    let rows: Vec<Vec<char>> = text.lines().map(|line| line.chars().collect()).collect();
    let width = rows[0].len();
    assert!(rows.iter().all(|row| row.len() == width), "a picture has lines of one length");
    decode_modules(width, |x, y| match (rows[y / 2][x], y % 2) {
        ('█', _) | ('▀', 0) | ('▄', 1) => false,
        (' ', _) | ('▀', 1) | ('▄', 0) => true,
        (other, _) => panic!("{other:?}"),
    })
}

fn svg(text: &str) -> String {
    let size: usize =
        text.split("viewBox=\"0 0 ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    let path = text.split(" d=\"").nth(1).unwrap().split('"').next().unwrap();
    let mut dark = vec![false; size * size];
    for module in path.split_terminator('z') {
        let at = module.strip_prefix('M').unwrap().strip_suffix("h1v1h-1").unwrap();
        let (x, y) = at.split_once(',').unwrap();
        dark[y.parse::<usize>().unwrap() * size + x.parse::<usize>().unwrap()] = true;
    }
    decode_modules(size, |x, y| dark[y * size + x])
}

fn png(bytes: &[u8]) -> String {
    let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    assert_eq!(
        (frame.color_type, frame.bit_depth),
        (png::ColorType::Grayscale, png::BitDepth::Eight)
    );
    let side = frame.width as usize;
    assert_eq!(frame.width, frame.height);
    decode(side, |x, y| pixels[y * side + x] < 128)
}

#[test]
fn a_code_holds_the_file_for_wireguards_apps() {
    let ask = Ask { presharing: Presharing::Shown, ..Ask::default() };
    with(&config(SITES), ("pionier/gw", "gdansk"), ask, |connection| {
        let Link::Tunnel(tunnel) = &connection.link else { panic!() };
        let code = QrCode::new(connection, tunnel).unwrap();
        let said = terminal(&code.terminal(false));
        let expected = format!(
            "[Interface]
PrivateKey=<your private key>
Address=10.255.31.1/29
ListenPort=51820
MTU=1380
[Peer]
PublicKey={}
PresharedKey={PSK}
Endpoint=vpn.example.net:51834
AllowedIPs=10.136.40.0/24,2001:db8:40::/64,10.255.31.5/32
PersistentKeepalive=15
",
            super::scene::GATEWAY
        );
        assert_eq!(said, expected);
        assert_eq!(svg(&code.svg()), expected);
        assert_eq!(png(&code.png().unwrap()), expected);
        assert!(code.below().is_secret);
        assert!(code.below().text.contains("--private-key"));
    });
}

/// The colours are set for each line and taken back at its end, so that a code is right
/// on a light screen and the prompt after it has its own.
#[test]
fn colours_end_with_their_line() {
    with(&config(SITES), ("pionier/gw", "poznan"), Ask::default(), |connection| {
        let Link::Tunnel(tunnel) = &connection.link else { panic!() };
        let code = QrCode::new(connection, tunnel).unwrap();
        let colored = code.terminal(true);
        for line in colored.lines() {
            assert!(line.starts_with("\x1b[40;97m") && line.ends_with("\x1b[0m"), "{line:?}");
        }
        let plain = colored.replace("\x1b[40;97m", "").replace("\x1b[0m", "");
        assert_eq!(plain, code.terminal(false).as_str());
    });
}
