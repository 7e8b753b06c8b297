"""Geotagged photos and the satellite crops beside them: collected, filtered down, and looked through by a person.

A collection is a folder. `photos/` holds the pictures as they came, named by their checksums, `crops/` the satellite
views around them, and `manifest.jsonl` everything that is known: one line per fact, only ever appended, so that a
kill at any moment loses nothing that was paid for. What a line says again replaces what was said before.

    Collection.open(folder)            what is known, folded from the manifest
    gather(collection, provider, …)    photos from a folder or a service, page by page
    run(collection, settings, …)       the filter funnel
    serve(collection, …)               the review page
"""
