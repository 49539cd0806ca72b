"""The default port: transformers' BERT classifier in torch against a BERT written in Paddle."""
