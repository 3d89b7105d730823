//! The demo's own directory, gone with it, and whoever plays until the end.

use super::stage::Player;
use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;

/// The demo's own directory, and who plays until the end.
pub(super) struct Home {
    pub(super) directory: TempDir,
    pub(super) config: PathBuf,
    pub(super) state: PathBuf,
    players: RefCell<Vec<Player>>,
}

impl Home {
    pub(super) fn new() -> anyhow::Result<Self> {
        // In the demo's own `/run`, which goes with it even if it is killed.
        let directory = tempfile::Builder::new().prefix("demo.").tempdir_in("/run")?;
        let (config, state) = (directory.path().join("config"), directory.path().join("state"));
        fs::create_dir(&config)?;
        Ok(Self { directory, config, state, players: RefCell::default() })
    }

    pub(super) fn runtime(&self) -> PathBuf {
        self.directory.path().join("run")
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.runtime().join(crate::daemon::SOCKET)
    }

    pub(super) fn log_path(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// The last lines of the gateway's log.
    pub(super) fn log(&self) -> String {
        let log = fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(10).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    pub(super) fn start_gateway(&self) -> anyhow::Result<Player> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let program = text(&std::env::current_exe()?);
        let (runtime, state, config) =
            (text(&self.runtime()), text(&self.state), text(&self.config));
        let words = [
            &program,
            "--runtime-dir",
            &runtime,
            "--state-dir",
            &state,
            "run",
            "-f",
            &config,
            "--no-status",
        ];
        Player::start(None, &words, Stdio::from(fs::File::create(self.log_path())?))
    }

    /// Keeps the players until the demo ends.
    pub(super) fn keep(&self, gateway: Player, routers: Vec<Option<Player>>) {
        let mut players = self.players.borrow_mut();
        players.push(gateway);
        players.extend(routers.into_iter().flatten());
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // The gateway first, and gently: that it cleans up is part of the show.
        for player in self.players.borrow_mut().iter_mut() {
            let _ = player.stop();
        }
    }
}
