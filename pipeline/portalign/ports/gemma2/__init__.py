"""The port `gemma2`: transformers' Gemma-2 against one written for Paddle, with published bugs."""
