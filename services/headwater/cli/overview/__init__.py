"""`headwater status`: one screen about a tenant, made of what the services answer and what their pages of numbers say."""
