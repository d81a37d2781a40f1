"""Whether the alerts of a bot reach anybody."""

from collections.abc import Mapping
from typing import Any

from perp_imbalance.doctor.findings import Check, Level
from perp_imbalance.strategy.settings import SECTION, Settings

NAME = "alerts"

# The sections of freqtrade's config that send messages of a strategy.
_CHANNELS = ("telegram", "webhook", "discord")


def check_alerts(config: Mapping[str, Any], settings: Settings) -> Check:
    """Say which channels the alerts go to, and what keeps them from one that is enabled.

    :param config: freqtrade's config, all files merged.

    >>> config = {"telegram": {"enabled": True, "allow_custom_messages": True}}
    >>> check_alerts(config, Settings()).message
    'sent to telegram'
    """
    if not settings.alerts:
        if not settings.alert_only:
            return Check(NAME, Level.OK, "none")
        message = "alert_only is true and alerts is empty, so the bot neither enters nor alerts"
        return Check(NAME, Level.WARNING, f"{message}: name alerts in {SECTION}")
    enabled = [channel for channel in _CHANNELS if config.get(channel, {}).get("enabled")]
    lacking = {name: what for name in enabled if (what := _lacking(name, config[name]))}
    if lacking:
        mend = "; ".join(f"set {name}.{what}" for name, what in lacking.items())
        return Check(NAME, Level.WARNING, f"not sent to {' and '.join(lacking)}: {mend}")
    if enabled:
        return Check(NAME, Level.OK, f"sent to {' and '.join(enabled)}")
    message = f"written to the log only: none of {', '.join(_CHANNELS)} is enabled"
    if settings.alert_only or "alerts" in settings.model_fields_set:
        message += "; add one, such as -c config/telegram.example.json"
        return Check(NAME, Level.WARNING, message)
    return Check(NAME, Level.OK, message)


def _lacking(channel: str, section: Mapping[str, Any]) -> str | None:
    """Return the setting that keeps a strategy's messages from a channel; None if none does."""
    if not section.get("allow_custom_messages"):
        return "allow_custom_messages to true"
    if channel != "telegram":
        return None if section.get("strategy_msg") else "strategy_msg to the form of a message"
    loudness = section.get("notification_settings", {}).get("strategy_msg")
    return 'notification_settings.strategy_msg to "on"' if loudness == "off" else None
