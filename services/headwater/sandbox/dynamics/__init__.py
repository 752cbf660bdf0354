"""Dynamics 365 as the sandbox plays it: the OData Web API of Dataverse."""
