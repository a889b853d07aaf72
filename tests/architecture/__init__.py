"""The rules of the code, as tests."""
