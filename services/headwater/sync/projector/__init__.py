"""The projector: from the log to records, entities, audit and delivery marks, one transaction a batch."""
