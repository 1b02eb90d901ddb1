"""The contenders in Python: each module is a program that speaks the protocol."""
