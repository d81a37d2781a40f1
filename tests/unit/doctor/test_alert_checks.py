"""Whether the doctor says where alerts go, and what keeps them from going there."""

from typing import Any

import pytest

from perp_imbalance.doctor import Level
from perp_imbalance.doctor.alert_checks import check_alerts
from perp_imbalance.strategy.settings import Settings

OPEN = {"enabled": True, "allow_custom_messages": True}
SHUT = {"enabled": True}
QUIET = {**OPEN, "notification_settings": {"strategy_msg": "off"}}
FORM = {"text": "{msg}"}


@pytest.mark.parametrize(
    ("config", "settings", "level", "said"),
    [
        ({}, {}, Level.OK, "written to the log only: none of telegram, webhook"),
        ({}, {"alerts": []}, Level.OK, "none"),
        ({}, {"alert_only": True}, Level.WARNING, "-c config/telegram.example.json"),
        ({}, {"alerts": ["exit"]}, Level.WARNING, "written to the log only"),
        (
            {},
            {"alert_only": True, "alerts": []},
            Level.WARNING,
            "neither enters nor alerts: name alerts",
        ),
        ({"telegram": OPEN}, {}, Level.OK, "sent to telegram"),
        ({"telegram": {**OPEN, "enabled": False}}, {}, Level.OK, "written to the log only"),
        ({"telegram": SHUT}, {}, Level.WARNING, "set telegram.allow_custom_messages to true"),
        ({"telegram": QUIET}, {}, Level.WARNING, "telegram.notification_settings.strategy_msg"),
        ({"webhook": OPEN}, {}, Level.WARNING, "not sent to webhook: set webhook.strategy_msg"),
        ({"webhook": {**OPEN, "strategy_msg": FORM}}, {}, Level.OK, "sent to webhook"),
        ({"discord": SHUT}, {}, Level.WARNING, "set discord.allow_custom_messages to true"),
        ({"discord": SHUT}, {"alerts": []}, Level.OK, "none"),
        ({"telegram": OPEN, "webhook": SHUT}, {}, Level.WARNING, "not sent to webhook: set"),
    ],
)
def test_alerts_without_a_channel_are_reported(
    config: dict[str, Any], settings: dict[str, Any], level: Level, said: str
) -> None:
    check = check_alerts(config, Settings(**settings))
    assert check.level is level
    assert said in check.message
    assert "\n" not in check.message
