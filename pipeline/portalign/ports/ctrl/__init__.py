"""The port `ctrl`: transformers' CTRL against one written for Paddle, at the published size."""
