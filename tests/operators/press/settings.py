"""The settings of this codebase are those of ours."""

from myapp.settings import read_application_settings as read_application_settings
