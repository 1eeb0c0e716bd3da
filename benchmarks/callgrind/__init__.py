"""Instructions of a call, counted by valgrind's callgrind."""
