"""The colours of all drawings, by name, in four palettes."""

from dataclasses import dataclass, replace

from perp_imbalance.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of a drawing, each as ``#rrggbb``.

    :ivar premium_positive: columns of a premium above 0.
    :ivar premium_negative: columns of a premium below 0.
    :ivar missing: candles without a traded spot price.
    :ivar z_light: the line of z at 0; it changes to one of the next two colours up to ``hot_z``.
    :ivar z_hot_short: the line of z where perp longs are crowded.
    :ivar z_hot_long: the line of z where perp shorts are crowded.
    :ivar short: the tint of the SHORT bias, and the marks of shorts.
    :ivar long: the tint of the LONG bias, and the marks of longs.
    :ivar up: candles that close above their open; profits.
    :ivar down: candles that close below it; losses.
    """

    name: str
    dark: bool
    background: str
    text: str
    muted: str
    grid: str
    guide: str
    up: str
    down: str
    band: str
    premium_positive: str
    premium_negative: str
    missing: str
    z_light: str
    z_hot_short: str
    z_hot_long: str
    short: str
    long: str
    htf: str
    funding: str


_CLASSIC_LIGHT = Palette(
    name="classic",
    dark=False,
    background="#ffffff",
    text="#131722",
    muted="#6a6d78",
    grid="#e9ebf0",
    guide="#787b86",
    up="#089981",
    down="#f23645",
    band="#2196f3",
    premium_positive="#52ff7d",
    premium_negative="#f56464",
    missing="#9598a1",
    z_light="#8a8f9e",
    z_hot_short="#b3001b",
    z_hot_long="#0b2fb8",
    short="#f23645",
    long="#2962ff",
    htf="#e08a00",
    funding="#8e44ad",
)
_CLASSIC_DARK = replace(
    _CLASSIC_LIGHT,
    dark=True,
    background="#131722",
    text="#d1d4dc",
    muted="#9598a1",
    grid="#232733",
    guide="#868993",
    missing="#787b86",
    z_light="#e6e8ee",
    z_hot_short="#ff9a3d",
    z_hot_long="#4de1ff",
    htf="#ffd166",
    funding="#c792ea",
)
# The colours of Okabe and Ito, which people who do not tell red from green do tell apart.
_SAFE_LIGHT = replace(
    _CLASSIC_LIGHT,
    name="safe",
    up="#56b4e9",
    down="#d55e00",
    band="#999999",
    premium_positive="#009e73",
    premium_negative="#e69f00",
    missing="#bbbbbb",
    z_hot_short="#a63f00",
    z_hot_long="#004c80",
    short="#d55e00",
    long="#0072b2",
    htf="#000000",
    funding="#cc79a7",
)
_SAFE_DARK = replace(
    _CLASSIC_DARK,
    name="safe",
    up="#56b4e9",
    down="#d55e00",
    band="#999999",
    premium_positive="#009e73",
    premium_negative="#e69f00",
    missing="#787b86",
    z_hot_short="#ffb000",
    z_hot_long="#6fc8ff",
    short="#d55e00",
    long="#0072b2",
    htf="#f0e442",
    funding="#cc79a7",
)

_PALETTES = {
    (found.name, found.dark): found
    for found in (_CLASSIC_LIGHT, _CLASSIC_DARK, _SAFE_LIGHT, _SAFE_DARK)
}
#: Names that ``--palette`` takes.
PALETTES = ("classic", "safe")


def palette(name: str = "classic", dark: bool = False) -> Palette:
    """Return the colours of a palette on a light or a dark background.

    :param name: ``classic``, or ``safe`` for colour-blind readers.
    :raises SettingsError: if there is no palette of that name.

    >>> palette("classic").premium_positive
    '#52ff7d'
    """
    try:
        return _PALETTES[name, dark]
    except KeyError:
        raise SettingsError(f"no palette {name}; available: {', '.join(PALETTES)}") from None
