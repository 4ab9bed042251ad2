/* Runs the program on its command line, and ends with its status in 8 bits, which is all that
 * Unix takes: a crash, 0x80000100 for one, must not look like 0. */
#include <windows.h>

static int in_8_bits(DWORD status)
{
    return status == 0 || status % 256 != 0 ? (int)(status % 256) : 1;
}

int main(void)
{
    wchar_t *line = GetCommandLineW();
    STARTUPINFOW start = {.cb = sizeof start};
    PROCESS_INFORMATION made;
    DWORD status;
    BOOL quoted = FALSE;
    for (; *line != 0 && (quoted || *line != L' '); line++)
        if (*line == L'"')
            quoted = !quoted;
    while (*line == L' ')
        line++;
    if (!CreateProcessW(NULL, line, NULL, NULL, TRUE, 0, NULL, NULL, &start, &made))
        return 127;
    WaitForSingleObject(made.hProcess, INFINITE);
    return GetExitCodeProcess(made.hProcess, &status) ? in_8_bits(status) : 1;
}
