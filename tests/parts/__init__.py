"""The real parts that tests run against, one to a file. Of all of them only what a model says is made up."""
