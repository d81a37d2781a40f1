"""Take a picture of a page with the installed Chromium."""

import shutil
import subprocess
from pathlib import Path

from perp_imbalance.errors import CommandError
from perp_imbalance.files import atomic_write, temporary_folder

#: Names of the executable on various systems.
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
#: URL fragment that hides a page's buttons.
FRAGMENT = "picture"
TIMEOUT_SECONDS = 120
_OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--force-device-scale-factor=1"),
)


def find_browser() -> str:
    """Return the path of an installed Chromium.

    :raises CommandError: if none is installed.
    """
    for name in BROWSERS:
        found = shutil.which(name)
        if found:
            return found
    raise CommandError(
        "a picture needs Chromium, which is not installed: on Debian, apt install chromium"
    )


def take_picture(page: Path, picture: Path, *, width: int = 1400, height: int = 900) -> None:
    """Write a PNG of a page as a browser window of this size shows it.

    :raises CommandError: if Chromium is missing or writes no picture.
    """
    browser = find_browser()
    with temporary_folder() as profile:
        shot = Path(profile, "picture.png")
        command = [browser, *_OPTIONS, f"--user-data-dir={profile}/profile"]
        command += [f"--window-size={width},{height}", f"--screenshot={shot}"]
        try:
            subprocess.run(
                [*command, f"{page.resolve().as_uri()}#{FRAGMENT}"],
                capture_output=True,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CommandError(f"{browser} gave no picture of {page}: {error}") from None
        if not shot.is_file():
            raise CommandError(f"{browser} gave no picture of {page}")
        with atomic_write(picture) as part:
            shutil.copyfile(shot, part)
