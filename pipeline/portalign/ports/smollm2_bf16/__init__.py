"""The port `smollm2_bf16`: one checkpoint, brought to bfloat16 in two ways."""
