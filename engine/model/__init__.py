"""Tokens to tokens: the decoder, its folder on disk, generation, growth and export."""
