"""Rationales of language models: extracted by attribution, compared with people's, tested on the model itself.

Every stage of the pipeline is one module with a ``main``; ``python -m rationale_eval STAGE --help`` describes it.
"""
