"""megabase VERB: parse the options, call one library function, report what was written."""
