"""Sessions in Pyramid; only `transaction` and `include` know SQL as well."""
