"""Records of CRMs read by id: what webhooks point at is fetched whole, and recorded as a poll would record it."""
