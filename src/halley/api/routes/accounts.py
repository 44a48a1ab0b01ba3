"""Routes: the account and its keys."""

from typing import Final

from halley.api.http.routing import Route
from halley.api.presentation.wire.accounts import (
    AccountBody,
    ChangeKey,
    CreateKey,
    CurrentKey,
    Hardware,
    KeyBody,
    KeyPage,
    NewKey,
)
from halley.api.resources import accounts
from halley.api.routes.paging import PAGE
from halley.keys.records import Scope

ROUTES: Final = (
    Route(
        name="account.get",
        method="GET",
        pattern="/account",
        handler=accounts.get_account,
        scope=Scope.READ,
        response=AccountBody,
        summary="Get the account of the key",
    ),
    Route(
        name="hardware.list",
        method="GET",
        pattern="/hardware",
        handler=accounts.list_hardware,
        scope=Scope.READ,
        response=list[Hardware],
        summary="List kinds of hardware",
    ),
    Route(
        name="keys.list",
        method="GET",
        pattern="/keys",
        handler=accounts.list_keys,
        scope=Scope.ADMIN,
        params=PAGE,
        response=KeyPage,
        summary="List API keys of all accounts, newest first",
    ),
    Route(
        name="keys.current",
        method="GET",
        pattern="/keys/current",
        handler=accounts.current_key,
        scope=Scope.READ,
        response=CurrentKey,
        summary="Get the key of this request, and what it has been used for lately",
    ),
    Route(
        name="keys.create",
        method="POST",
        pattern="/keys",
        handler=accounts.create_key,
        scope=Scope.ADMIN,
        rate="write",
        body="json",
        request=CreateKey,
        response=NewKey,
        success=(201,),
        summary="Create an API key; its token is shown only once",
    ),
    Route(
        name="keys.get",
        method="GET",
        pattern="/keys/{key_id}",
        handler=accounts.get_key,
        scope=Scope.ADMIN,
        response=KeyBody,
        summary="Get an API key, without its secret",
    ),
    Route(
        name="keys.change",
        method="PATCH",
        pattern="/keys/{key_id}",
        handler=accounts.change_key,
        scope=Scope.ADMIN,
        rate="write",
        body="json",
        request=ChangeKey,
        response=KeyBody,
        summary="Change options of an API key",
    ),
    Route(
        name="keys.delete",
        method="DELETE",
        pattern="/keys/{key_id}",
        handler=accounts.delete_key,
        scope=Scope.ADMIN,
        rate="write",
        success=(204,),
        summary="Revoke an API key",
    ),
)
