"""`headwater run`: the shipped samples through a whole stack, until every event is accounted for."""
