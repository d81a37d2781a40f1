# freqtrade's own image, of the version that requirements.txt pins, with this project in it.
# tests/test_deployment.py runs these steps in a virtual environment; keep to FROM, ENV, WORKDIR,
# COPY, RUN, ENTRYPOINT and CMD on one line each.
FROM freqtradeorg/freqtrade:2026.9

ENV PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /freqtrade

# Everything else that the project needs is in freqtrade's image, hence --no-deps; check says so.
COPY --chown=ftuser:ftuser pyproject.toml README.md LICENSE perp-imbalance/
COPY --chown=ftuser:ftuser indicators perp-imbalance/indicators/
COPY --chown=ftuser:ftuser perp_imbalance perp-imbalance/perp_imbalance/
RUN python -m pip install --no-cache-dir --no-deps ./perp-imbalance
RUN python -c "import numpy, pandas, talib, aiohttp, pydantic, pyarrow, rich, freqtrade"

# With the parameters that hyperopt wrote beside them, so that an image is one state to go back to.
COPY --chown=ftuser:ftuser strategies strategies/
COPY --chown=ftuser:ftuser deploy/start.py deploy/

ENTRYPOINT ["python", "deploy/start.py"]
CMD ["trade"]
