"""Who may call a site: its keys, and the sessions that STS began with them."""

from __future__ import annotations

from nearstream.core.accounts import Account
from nearstream.home.keys import Keys
from nearstream.home.sessions import Sessions
from nearstream.wire.aws.credentials import Credential, Lookup


def lookup(keys: Keys, sessions: Sessions, account: Account) -> Lookup:
    """Finds the keys and the sessions of a site as they are now; each of them may do everything."""

    def find(access_key: str) -> Credential | None:
        key = keys.find(access_key)
        if key is not None:
            return Credential(key.access_key, key.secret_key, account.id, arn=account.session_arn(key.name))
        session = sessions.find(access_key)
        # A session ends with the key that it was made with.
        if session is None or keys.find(session.key) is None:
            return None
        return Credential(
            session.access_key,
            session.secret_key,
            account.id,
            arn=account.session_arn(session.name),
            session_token=session.token,
            expires_at=session.expires_at,
        )

    return find
