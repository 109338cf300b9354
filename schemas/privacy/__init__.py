"""What must not leave, whatever the setting, and what an outlet may be told of the rest."""
