"""The wire package of events; holds generated code only."""
