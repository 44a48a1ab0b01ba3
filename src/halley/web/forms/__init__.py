"""Forms made from a version's input schema.

`schema` reads the schema into a tree of `Field`. `drafts` turns an input into what the form's controls contain.
`posted` reads that from a posted form and turns it back into an input. `controls` describes the controls for the
templates.
All functions are pure: for every input, reading the form that was rendered from it gives the same input.
"""
