"""What the API takes and answers about CSV files, as schemas."""

from __future__ import annotations

from marshmallow import fields

from stewardship.api.schemas import FileFaultAnswer
from stewardship.intake.fields import StrictSchema, Text


class CsvQuery(StrictSchema):
    """What the sender calls the file; it is kept as data."""

    name = Text(longest=500, load_default="", metadata={"description": "What the sender calls the file."})


class ReadFieldAnswer(StrictSchema):
    """A field of a row and what was read for it; of what names a person, the first letter and the length."""

    name = fields.String(required=True)
    value = fields.String(required=True)


class ReadRowAnswer(StrictSchema):
    """A row as the mapping reads it, and what is wrong with it."""

    line = fields.Integer(required=True)
    fields_ = fields.List(fields.Nested(ReadFieldAnswer), required=True, data_key="fields")
    rejected = fields.List(fields.Nested(FileFaultAnswer), required=True)


class PreviewAnswer(StrictSchema):
    """The first rows of a file. Nothing was stored."""

    rows = fields.List(fields.Nested(ReadRowAnswer), required=True)
