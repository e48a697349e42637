"""The statements of the papers, as tests."""
