"""The real parts that the tests run against, one to a file; `model_server` is the only fake, and it is a real server too."""
