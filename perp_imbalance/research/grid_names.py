"""What a sweep can vary and rank by; without the libraries that :mod:`.grid` needs."""

#: The thresholds that a sweep can vary: those that a signal depends on, slowest first.
AXES = (
    *("len_prem", "smooth_len", "enter_z", "exit_z"),
    *("use_sigma", "bb_len", "bb_k", "use_htf", "htf_z_min"),
    *("min_deviation_bps", "dev_len"),
)

#: Figures of a wallet that combinations may be ranked by; of drawdown, the least is the best.
WALLET_RANKS = ("profit_pct", "sharpe", "drawdown_pct")

#: All that they may be ranked by.
RANKS = ("t", "net_bps", "profit_factor", "won", "trades", *WALLET_RANKS)
