"""megabase VERB: parse the options, call one library function, say what was written."""
