"""The Salesforce side of the fleet: sObject rows, collections, composite, SOQL, describe, OAuth."""
