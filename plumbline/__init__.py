"""The front door: command line, web application and embedded servers."""
