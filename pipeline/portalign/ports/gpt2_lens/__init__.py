"""The port `gpt2_lens`: GPT-2 in transformers against TransformerLens, which folds and centres."""
