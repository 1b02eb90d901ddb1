"""The forms of accounts: what may be sent, and what is said about it."""

from __future__ import annotations

from typing import Any, Final

from webob.multidict import MultiDict
from wtforms import BooleanField, EmailField, Form, HiddenField, PasswordField, StringField
from wtforms.validators import InputRequired, Length, ValidationError

from myapp.accounts.addresses import NotAnAddress, normalised

_NAME_LENGTH: Final = 64


def texts(sent: Any) -> MultiDict:
    """The text fields; uploaded files are ignored."""
    return MultiDict((name, value) for name, value in sent.items() if isinstance(value, str))


def typed(field: StringField) -> str:
    """What was typed into a field; empty for nothing."""
    return field.data or ""


class AddressForm(Form):
    """A form with an address; `email.data` is in its one spelling once it is valid."""

    email = EmailField("E-mail address", [InputRequired("Enter your e-mail address.")])

    def validate_email(self, field: EmailField) -> None:
        """Spell the address as accounts are known by it."""
        try:
            field.data = normalised(typed(field))
        except NotAnAddress:
            message = "This is not a complete e-mail address. Enter one such as ann@example.com."
            raise ValidationError(message) from None


class SignInForm(AddressForm):
    """Address and password of somebody who has an account."""

    password = PasswordField("Password", [InputRequired("Enter your password.")])
    remember = BooleanField("Keep me signed in on this device")
    next = HiddenField()


class SignUpForm(AddressForm):
    """Address and password of somebody new."""

    password = PasswordField("Password", [InputRequired("Choose a password.")])


class PasswordForm(Form):
    """The password of a user who is signed in already, or has just signed up."""

    password = PasswordField("Password", [InputRequired("Enter your password.")])


class NewPasswordForm(Form):
    """A password to be used from now on."""

    new_password = PasswordField("New password", [InputRequired("Choose a new password.")])


class ChangePasswordForm(PasswordForm, NewPasswordForm):
    """The current password and the new one."""


class DeviceForm(Form):
    """A user's name for one of their devices; an empty field removes the name."""

    name = StringField(
        "Name", [Length(max=_NAME_LENGTH, message=f"Use at most {_NAME_LENGTH} characters.")]
    )

    def validate_name(self, field: StringField) -> None:
        """Take the blanks around it away, and refuse control characters."""
        field.data = typed(field).strip()
        if not typed(field).isprintable():
            raise ValidationError("Use letters, digits and punctuation only.")
