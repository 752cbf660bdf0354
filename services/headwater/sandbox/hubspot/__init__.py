"""The HubSpot side of the fleet: CRM v3 objects and properties, v4 associations, OAuth."""
