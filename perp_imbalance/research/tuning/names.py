"""The names that a search is asked by."""

#: What a search can look for: a figure of each fold.
OBJECTIVE_NAMES = ("sharpe", "profit", "calmar", "t")
#: Optuna's samplers that can be named; freqtrade's hyperopt takes the first.
SAMPLERS = ("NSGAIIISampler", "TPESampler", "CmaEsSampler", "QMCSampler")
