"""The image port: a ResNet-18 written in torch against the one in Paddle's model zoo."""
