"""Pictures and scenes of any size, through a Translator, cell by cell."""
