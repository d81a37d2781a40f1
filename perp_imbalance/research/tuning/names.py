"""Names of the options of a search."""

#: What a search can look for: a figure of each fold.
OBJECTIVE_NAMES = ("sharpe", "profit", "calmar", "t")
#: Optuna's samplers that can be named; freqtrade's hyperopt takes the first.
SAMPLERS = ("NSGAIIISampler", "TPESampler", "CmaEsSampler", "QMCSampler")
#: A fold of fewer days has no Sharpe ratio to speak of.
LEAST_FOLD_DAYS = 5
#: The folds of a training part of walk-forward, which is short: more would have too few trades.
WINDOW_FOLDS = 4
