"""The command line, and the manners that both programs share."""
