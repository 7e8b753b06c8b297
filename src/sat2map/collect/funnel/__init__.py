"""The filter funnel: from all photos to those that a person should look at, stage by stage, each with its reasons.

What is costly (pixels through networks) is measured once and kept in the manifest; what a stage decides is a pure
function of what was measured and of the settings. So another threshold or list of classes costs seconds, and a kill a
photo.
"""
