"""People who are erased: here, in the log, in identity, and in every CRM that ever had them."""
