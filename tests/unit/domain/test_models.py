"""What a reference means, and what an input may be."""

from datetime import timedelta

import msgspec
import pytest

from halley.errors import ModelBroken, StorageFull, Unusable, VersionUnknown
from halley.models.catalog import Catalog
from halley.models.ports import ModelAge
from halley.models.records import Model, Version
from halley.models.validation import AnyInput, InputSchema, uses_files
from halley.store.memory import MemoryStore
from halley.testing.clock import T0


def document(properties: dict[str, object], required: tuple[str, ...] = (), **more: object) -> bytes:
    schemas = {"Input": {"type": "object", "properties": properties, "required": list(required)}, **more}
    schemas.setdefault("Output", {"type": "string"})
    return msgspec.json.encode({"openapi": "3.0.2", "components": {"schemas": schemas}})


SCHEMA = document(
    {
        "prompt": {"type": "string", "maxLength": 5, "x-order": 0},
        "steps": {"type": "integer", "minimum": 1, "maximum": 4, "x-order": 1},
        "style": {"allOf": [{"$ref": "#/components/schemas/style"}], "default": "oil", "x-order": 2},
        "seed": {"type": "integer", "nullable": True, "x-order": 3},
        "token": {"type": "string", "format": "password", "x-cog-secret": True, "x-order": 4},
    },
    ("prompt",),
    style={"type": "string", "enum": ["oil", "ink"]},
)
LOOP = {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/loop"}}}


def test_valid_input_has_no_faults() -> None:
    schema = InputSchema(SCHEMA)
    assert schema.faults({"prompt": "a", "steps": 2, "style": "ink", "seed": None}) == ()


def test_all_faults_come_at_once() -> None:
    faults = InputSchema(SCHEMA).faults({"steps": 9, "style": "wax", "seed": "x"})
    assert {(fault.type, fault.field) for fault in faults} >= {
        ("required", "input"),
        ("maximum", "input.steps"),
    }
    assert {fault.field for fault in faults} == {"input", "input.steps", "input.style", "input.seed"}
    assert next(fault for fault in faults if fault.type == "required").description == "prompt is required"


def test_a_long_value_does_not_fill_the_answer() -> None:
    (fault,) = InputSchema(SCHEMA).faults({"prompt": "x" * 100_000})
    assert len(fault.description) < 400


def test_secrets_are_redacted_and_others_left_alone() -> None:
    schema = InputSchema(SCHEMA)
    assert schema.redacted({"prompt": "a"}) is None
    assert schema.redacted({"prompt": "a", "token": "s3cret"}) == {"prompt": "a", "token": "[REDACTED]"}


@pytest.mark.parametrize(
    "rule",
    [
        {"type": "array", "items": {"type": "string", "x-cog-secret": True}},
        {"anyOf": [{"type": "integer"}, {"type": "string", "x-cog-secret": True}]},
        {"allOf": [{"$ref": "#/components/schemas/login"}]},
    ],
)
def test_a_secret_inside_a_member_hides_all_of_it(rule: dict[str, object]) -> None:
    login = {"type": "object", "properties": {"password": {"type": "string", "x-cog-secret": True}}}
    schema = InputSchema(document({"x": rule, "y": {"$ref": "#/components/schemas/loop"}}, login=login, loop=LOOP))
    assert schema.redacted({"x": ["s3cret"], "y": 1}) == {"x": "[REDACTED]", "y": 1}


def test_a_fault_of_a_secret_does_not_quote_it() -> None:
    (fault,) = InputSchema(SCHEMA).faults({"prompt": "a", "token": ["s3cret"]})
    assert (fault.type, fault.field) == ("type", "input.token")
    assert "s3cret" not in fault.description


def test_unknown_names() -> None:
    schema = InputSchema(SCHEMA)
    assert schema.unknown_names({"prompt": "a", "colour": 1}) == ["colour"]
    assert schema.unknown_faults(["colour"])[0].field == "input.colour"


def test_a_hostile_pattern_cannot_hang() -> None:
    schema = InputSchema(document({"prompt": {"type": "string", "pattern": "^(a+)+$"}}))
    assert schema.faults({"prompt": "a" * 50_000 + "!"})


def test_references_out_of_the_document_are_refused() -> None:
    with pytest.raises(Unusable):
        InputSchema(document({"prompt": {"$ref": "http://127.0.0.1:1/x.json"}}))
    with pytest.raises(Unusable):
        InputSchema(b'{"openapi":"3.0.2"}')


@pytest.mark.parametrize("output", [None, [], True, "text"])
def test_an_output_that_is_no_object_is_refused(output: object) -> None:
    with pytest.raises(Unusable, match="Output"):
        InputSchema(document({}, Output=output))


def test_a_tuple_of_an_earlier_draft_still_says_what_is_wrong() -> None:
    pair = {"type": "array", "minItems": 2, "items": [{"type": "string"}, {"type": "integer"}]}
    schema = InputSchema(document({"pair": pair, "steps": {"type": "integer"}}))
    assert schema.faults({"pair": ["a", 1], "steps": 2}) == ()
    assert [(fault.type, fault.field) for fault in schema.faults({"pair": ["a"]})] == [("minItems", "input.pair")]
    assert [(fault.type, fault.field) for fault in schema.faults({"steps": "x"})] == [("type", "input.steps")]


def test_which_versions_touch_files() -> None:
    assert not uses_files(document({"prompt": {"type": "string"}}))
    assert uses_files(document({"image": {"type": "string", "format": "uri"}}))
    assert uses_files(document({}, Output={"type": "array", "items": {"type": "string", "format": "uri"}}))
    scene = {"type": "object", "properties": {"image": {"type": "string", "format": "uri"}}}
    assert uses_files(document({"scene": {"$ref": "#/components/schemas/scene"}}, scene=scene))
    assert not uses_files(document({"prompt": {"type": "string"}}, PredictionRequest=scene))
    assert uses_files(document({}, Output={"title": "Output"}))  # could be anything


@pytest.mark.anyio
async def test_what_a_reference_means() -> None:
    catalog = Catalog(MemoryStore())
    model = Model(owner="demo", name="a", created_at=T0)
    old, new = (Version(id=digit * 64, model="demo/a", created_at=T0, openapi_schema=SCHEMA) for digit in "12")
    other = Version(id="3" * 64, model="demo/b", created_at=T0, openapi_schema=SCHEMA)
    await catalog.register(model, old)
    await catalog.register(model, new)
    await catalog.register(Model(owner="demo", name="b", created_at=T0), other)
    for reference, version in {
        "demo/a": new,
        "demo/a:latest": new,
        "demo/a:" + "1" * 64: old,
        "1" * 64: old,
        "demo/b": other,
    }.items():
        assert catalog.resolve(reference).version == version, reference
    for reference in ("demo/c", "demo/a:" + "3" * 64, "9" * 64, "demo", "", "demo/a:nope", "x" * 10_000, "demo/a\n"):
        with pytest.raises(VersionUnknown):
            catalog.resolve(reference)
    catalog.withdraw("demo/a")
    with pytest.raises(VersionUnknown):
        catalog.resolve("1" * 64)


@pytest.mark.anyio
async def test_what_is_stored_already_is_served_without_a_write(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    model = Model(owner="demo", name="a", created_at=T0)
    version = Version(id="1" * 64, model="demo/a", created_at=T0, openapi_schema=SCHEMA)
    await Catalog(store).register(model, version)
    later = T0 + timedelta(days=1)
    same = msgspec.structs.replace(model, created_at=later), msgspec.structs.replace(version, created_at=later)

    async def refuse(*_: object) -> None:
        raise StorageFull("the disk is full")

    monkeypatch.setattr(store, "put_model", refuse)
    monkeypatch.setattr(store, "put_version", refuse)
    restarted = Catalog(store)
    assert await restarted.register(*same) == version
    assert restarted.resolve("demo/a").version == version
    for change in ({"description": "another"}, {"retention": "1h"}):
        with pytest.raises(StorageFull):
            await restarted.register(msgspec.structs.replace(model, **change), version)
    with pytest.raises(StorageFull):
        await restarted.register(model, msgspec.structs.replace(version, run_timeout_seconds=1.0))
    with pytest.raises(StorageFull):
        await restarted.register(model, msgspec.structs.replace(version, id="2" * 64))


@pytest.mark.anyio
async def test_a_version_can_be_asked_for_before_it_is_described() -> None:
    catalog = Catalog(MemoryStore())
    model = Model(owner="demo", name="a", created_at=T0)
    expected = Version(id="1" * 64, model="demo/a", created_at=T0, openapi_schema=b"")
    catalog.expect(model, expected)
    assert (catalog.standing("demo/a").state, catalog.preparing) == ("preparing", ["demo/a"])
    assert await catalog.models() == [model]
    for reference in ("demo/a", "demo/a:latest", "1" * 64):
        runnable = catalog.resolve(reference)
        assert (runnable.version, runnable.is_described, runnable.uses_files) == (expected, False, False)
    await catalog.register(model, Version(id="1" * 64, model="demo/a", created_at=T0, openapi_schema=SCHEMA))
    assert (catalog.standing("demo/a").state, catalog.preparing) == ("ready", [])
    assert catalog.resolve("demo/a").is_described
    assert [one.full_name for one in await catalog.models()] == ["demo/a"]


@pytest.mark.anyio
async def test_a_model_that_is_stored_while_the_models_are_listed_is_listed() -> None:
    model = Model(owner="demo", name="a", created_at=T0)
    version = Version(id="1" * 64, model="demo/a", created_at=T0, openapi_schema=SCHEMA)

    class Slow(MemoryStore):
        """Its lists are as old as their beginning."""

        async def list_models(self) -> list[Model]:
            stored = await super().list_models()
            await catalog.register(model, version)
            return stored

        async def model_ages(self, *, of_creation: bool) -> list[ModelAge]:
            ages = await super().model_ages(of_creation=of_creation)
            await catalog.register(model, version)
            return ages

    catalog = Catalog(Slow())
    catalog.expect(model, version)
    assert await catalog.models() == [model]
    catalog = Catalog(Slow())
    catalog.expect(model, version)
    assert [age.full_name for age in await catalog.ages(of_creation=True)] == ["demo/a"]


@pytest.mark.anyio
async def test_a_model_that_is_broken_says_so_until_it_is_repaired() -> None:
    catalog = Catalog(MemoryStore())
    model = Model(owner="demo", name="a", created_at=T0)
    version = Version(id="1" * 64, model="demo/a", created_at=T0, openapi_schema=SCHEMA)
    catalog.report_fault(model, "why")
    assert (catalog.broken, catalog.is_broken("demo/a")) == ({"demo/a": "why"}, True)
    with pytest.raises(ModelBroken, match="The model demo/a is broken: why"):
        catalog.resolve("demo/a")
    await catalog.register(model, version)
    assert (catalog.broken, catalog.standing("demo/a").reason) == ({}, None)
    catalog.report_fault(model, "again")  # its files changed: what was served goes on
    assert (catalog.broken, catalog.standing("demo/a").state) == ({}, "ready")
    assert catalog.standing("demo/a").reason == "again"
    assert catalog.resolve("demo/a").version == version
    assert catalog.standing("demo/b").state == "not_served"


def test_of_what_is_not_described_no_text_is_shown() -> None:
    given = {"a": "x", "b": [1, "y", {"c": "z", "d": None}], "e": 2.5}
    hidden = {"a": "[REDACTED]", "b": [1, "[REDACTED]", {"c": "[REDACTED]", "d": None}], "e": 2.5}
    assert AnyInput().redacted(given) == hidden
    assert AnyInput().redacted({"e": [True, {"f": 1}]}) is None
    assert (AnyInput().faults(given), AnyInput().unknown_names(given)) == ((), [])
